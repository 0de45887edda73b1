"""The client of KIE: its words, its models, its broken answers."""

"""KIE.AI, the company that renders the videos: `Kie` in gateway.py."""

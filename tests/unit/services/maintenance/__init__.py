"""The monitor's pure parts."""

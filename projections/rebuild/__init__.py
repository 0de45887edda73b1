"""Read models made anew beside the live ones, compared and swapped."""

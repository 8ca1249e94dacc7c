"""A page that says what runs have come to, in one file."""

"""What people choose, read and may ask for: preferences, their inbox, and to be forgotten."""

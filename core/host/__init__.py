"""What this host is set up to be: settings, and later its features."""

"""What an app is on a server: its paths, releases, slots and process managers. No other package knows."""

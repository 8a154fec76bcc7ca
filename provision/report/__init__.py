"""What people and programs are told: the console, tables, and JSON documents."""

"""What people start: the command line and, later, the designer, the server and the bulk tool; nothing imports from here."""

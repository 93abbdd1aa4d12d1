"""What people start: the command line, the designer, the server, bulk jobs and the machine check; nothing below imports from here."""

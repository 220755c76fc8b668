"""Which relay takes a message, and how much may go over it now."""

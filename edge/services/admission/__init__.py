"""Who may use a service, and how much of it."""

"""What edges get: the services in force as numbered, signed generations, and what edges answer."""

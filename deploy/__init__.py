"""What runs the system: on one machine for a developer, in containers, elsewhere."""

"""HTTP to model servers: one client a server, and its failures in our words."""

"""How one problem is solved."""

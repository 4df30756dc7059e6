"""What the pages of the configuration show, before it is drawn."""

"""Records of trials, and the tables and figures made from them; beside them, what they generated."""

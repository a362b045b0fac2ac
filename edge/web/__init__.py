"""A live page of what is heard; all but `address` and `opening` needs the extra `web`."""

"""The live web page of captions. All modules except `address` and `open_page` need extra `web`."""

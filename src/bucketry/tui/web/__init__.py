"""The screens in a browser: the server, the guard before it, its one page, and the process behind each page."""

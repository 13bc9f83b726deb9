"""The cases as web pages, each with a JSON twin. START HERE: app.py; a page is an entry of a table in pages/."""

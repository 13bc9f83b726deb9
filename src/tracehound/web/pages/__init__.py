"""The pages, by what they show; app.py joins their tables."""

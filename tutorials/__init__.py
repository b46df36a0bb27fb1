"""The chapters, in reading order. They come with a later version."""

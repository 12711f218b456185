"""What all reports share: the page, its colours, words and tables."""

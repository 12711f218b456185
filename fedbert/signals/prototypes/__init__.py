"""The signal `prototypes`: sums of text vectors by clicked item."""

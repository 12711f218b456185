"""Who is asked in a round: the socket of selections, and those that come with fedbert."""

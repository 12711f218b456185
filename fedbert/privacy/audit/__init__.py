"""What an attacker really gets: lower bounds of epsilon from planted canaries, and tests of the noise itself.

A proof bounds epsilon from above, for the mechanism as it is described; an audit bounds it from below, for
the code as it runs. Between the two lies what is not known. An audit above its proof shows a fault.
"""

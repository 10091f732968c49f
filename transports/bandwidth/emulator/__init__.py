"""A carrier on this machine: it places calls, interprets BXML and plays media in real time."""

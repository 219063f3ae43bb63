"""What may be trusted: evidence is judged against policies. Nothing here asks the network."""

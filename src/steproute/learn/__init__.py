"""What makes policies: the POMDP's fit and plan."""

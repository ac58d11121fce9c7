"""What comparisons between laboratories need: budgets of shape and defects, nested variance, reference sizes."""

"""The published files, scores and tables of Groschner et al. (2021), to compare with ours."""

"""The published files and scores of Groschner et al. (2021), and tables that compare them with scores measured here."""

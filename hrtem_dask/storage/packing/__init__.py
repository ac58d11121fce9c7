"""Many small files of a run in few: labels in packs, parts in larger parts."""

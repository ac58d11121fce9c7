"""``python -m hrtem_dask``: the command line."""

from hrtem_dask.cli import main

if __name__ == "__main__":
    main()

"""Write docs/tables.md, the columns of every table, from the schema: python tools/write_tables_page.py."""

from pathlib import Path

from hrtem_dask import tables

PAGE = Path(__file__).parents[1] / "docs" / "tables.md"

HEAD = """# The tables and their columns

<!-- Written by tools/write_tables_page.py from hrtem_dask/tables/: change it there. -->

A run writes seven Parquet files into its results folder. Every column may hold nulls: null means not known.
Lengths in px count pixels as if they were square. Lengths in nm use the true height and width of a pixel, and are null
where the pixel size is not known. Columns of the `--metadata` file follow those of all tables but
`execution`.
The Parquet files hold meaning, unit and formula of each column too
(`pyarrow.parquet.read_schema("results/particles.parquet").field("circularity").metadata`), and the schema's version.

"""
ABOUT = {
    "micrographs": "One row per 2-D image, one per signal that is none, and one per file that yields none.",
    "regions": "One row per region: a connected piece of the mask, small gaps bridged.",
    "particles": "One row per particle: a region, or a part of a region that was split. Statistics take the rows with "
    "`counted`.",
    "windows": "One row per window of a field that one crystal fills (`field_kind`).",
    "fault_traces": "One row per stacking fault or twin boundary of such a field.",
    "instance_runs": "One row per stretch of pixels, along a row of the image, of an instance that a detector found. "
    "Instances may overlap, so that the label image alone does not hold their masks; the function `instance_layers` "
    "makes a stack of labels of them, which napari opens.",
    "execution": "One row per micrograph that was analysed: what may differ between two runs of the same micrographs.",
}
TYPES = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}


def tables_page() -> str:
    """Return the page.

    Returns
    -------
    str
        Markdown.
    """
    links = "".join(f"- [{name}.parquet](#{name}parquet): {ABOUT[name]}\n" for name in tables.SCHEMAS)
    parts = [f"{HEAD}Schema version {tables.SCHEMA_VERSION}.\n\n{links}"]
    for name, schema in tables.SCHEMAS.items():
        rows = "".join(_row(column) for column in schema)
        parts.append(
            f"\n## {name}.parquet\n\n| column | type | unit | meaning | formula |\n|---|---|---|---|---|\n{rows}"
        )
    return "".join(parts)


def _row(column: tables.Column) -> str:
    """Return one line of a table."""
    cells = (f"`{column.name}`", TYPES[column.kind], column.unit, column.meaning, column.formula)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(tables_page(), encoding="utf-8")

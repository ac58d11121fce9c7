"""What an image shows, judged by its pixels alone: patterns of reciprocal space, and masks, are no micrographs."""

from hrtem_dask.loading.content.judgment import Content, judge_content

__all__ = ["Content", "judge_content"]

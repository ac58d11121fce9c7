"""OME-XML: where the planes of each image are."""

from xml.etree import ElementTree

from hrtem_dask.loading.formats.tiff_files.ome_xml import OmeDescription, Planes, read_description


def described(tiff_data: str, attributes: str = 'SizeC="2" SizeZ="3" SizeT="4"') -> OmeDescription:
    return read_description(
        ElementTree.fromstring(
            f'<OME UUID="u1"><Image Name="a"><Pixels DimensionOrder="XYCZT" {attributes}>{tiff_data}</Pixels>'
            "</Image></OME>"
        )
    )


def test_the_number_of_a_plane_counts_over_all_axes() -> None:
    (image,) = described('<TiffData FirstC="1" FirstZ="2" FirstT="3" IFD="5"/>').images
    assert image.planes == (Planes(first=1 + 2 * 2 + 3 * 6, page=5, count=1, uuid="", file=""),)


def test_planes_without_page_and_count_are_all_pages() -> None:
    (image,) = described("<TiffData/>").images
    assert image.planes == (Planes(first=0, page=0, count=None, uuid="", file=""),)


def test_numbers_that_are_none_do_not_raise() -> None:
    (image,) = described('<TiffData IFD="x" PlaneCount="-3" FirstT="nan"/>').images
    assert image.planes == (Planes(first=0, page=0, count=1, uuid="", file=""),)


def test_a_file_is_of_a_set_where_the_description_names_another_file() -> None:
    own = '<TiffData IFD="0"><UUID FileName="a.tif">u1</UUID></TiffData>'
    assert not described(own).is_set
    assert not described("<TiffData/>").is_set
    assert described(own + '<TiffData IFD="0"><UUID FileName="C:\\x\\b.tif">u2</UUID></TiffData>').is_set

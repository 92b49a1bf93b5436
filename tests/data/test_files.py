import gzip

import pytest

from cedistill.data.files import find_file, read_lines, read_rows, sha256, writing
from cedistill.errors import InputError


def _error(path, read=read_lines):
    with pytest.raises(InputError) as caught:
        list(read(path))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_lines_are_numbered_from_one_and_lose_only_their_end(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("é \u2028x\t\r\n\nlast".encode())
    assert list(read_lines(path)) == [(1, "é \u2028x\t"), (2, ""), (3, "last")]


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert list(read_lines(path)) == [(1, "one"), (2, "\ufefftwo")]


def test_gzip_is_told_by_content(tmp_path):
    zipped, plain = tmp_path / "no-ending", tmp_path / "plain.gz"
    zipped.write_bytes(gzip.compress(b"one\ntwo\n"))
    plain.write_text("three\n")
    assert list(read_lines(zipped)) == [(1, "one"), (2, "two")]
    assert list(read_lines(plain)) == [(1, "three")]


def test_bad_utf8_is_named_with_its_line(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"one\ntwo\ncaf\xe9\n")
    assert _error(path).startswith(f"{path}:3: expected UTF-8 text")


@pytest.mark.parametrize("cut", [30, 600])
def test_truncated_gzip_is_bad_input(tmp_path, cut):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress("\n".join(str(n * n) for n in range(2000)).encode())[:cut])
    assert "truncated or damaged" in _error(path)


def test_damaged_gzip_is_bad_input(tmp_path):
    path = tmp_path / "a.gz"
    whole = bytearray(gzip.compress(b"one\n" * 100))
    whole[-6] ^= 0xFF  # the checksum
    path.write_bytes(bytes(whole))
    assert "truncated or damaged" in _error(path)


def test_missing_file_and_folder_are_bad_input(tmp_path):
    assert "found none of this name" in _error(tmp_path / "nothing")
    assert "found a folder" in _error(tmp_path)
    assert "expected a readable file" in _error(tmp_path / ("x" * 300))


def test_rows_allow_blank_lines_at_the_end_only(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n \n\n")
    assert list(read_rows(path)) == [(1, "one"), (2, "two")]
    path.write_text("one\n\n\ntwo\n")
    assert _error(path, read_rows).startswith(f"{path}:2: expected no blank line")


def test_writing_makes_folders_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a" / "b.txt"
    with writing(path) as stream:
        stream.write("é\n")
        assert not path.exists()
    assert path.read_bytes() == "é\n".encode()
    assert [one.name for one in path.parent.iterdir()] == ["b.txt"]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_failure_keeps_the_old_file_and_no_partial(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), writing(path) as stream:
        stream.write("new" * 100_000)
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_gzip_of_equal_text_has_equal_bytes(tmp_path):
    for name in ("a.gz", "b.gz"):
        with writing(tmp_path / name) as stream:
            stream.write("text\n")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"text\n"


def test_writing_replaces_what_a_link_points_at(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with writing(link) as stream:
        stream.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_writing_to_a_device_does_not_replace_it(tmp_path):
    with writing("/dev/null") as stream:
        stream.write("text")
    with open("/dev/null", "rb") as device:  # noqa: PTH123
        assert device.read() == b""


def test_writing_onto_a_folder_or_below_a_file_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "a.txt"):
        with pytest.raises(InputError, match="expected"), writing(path):
            pass


def test_find_file_takes_the_plain_one_first(tmp_path):
    assert find_file(tmp_path, "a") is None
    (tmp_path / "a.gz").touch()
    assert find_file(tmp_path, "a") == tmp_path / "a.gz"
    (tmp_path / "a").touch()
    assert find_file(tmp_path, "a") == tmp_path / "a"


def test_sha256_of_the_standards_example(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

"""The service catalogue is read strictly, and what is wrong is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.catalogue import Catalogue, Service, cycles
from config.catalogue_files import load_catalogue, read
from config.documents import DocumentError, documents
from config.load import ConfigError, load
from config.settings import Correlate, Settings, TopologySettings

EXAMPLE = Path(__file__).parents[2] / "config" / "catalogue.example.yaml"


def written(tmp_path: Path, text: str, name: str = "services.yaml") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def errors(tmp_path: Path, text: str) -> list[str]:
    path = written(tmp_path, text)
    return [line.removeprefix(f"{path}:") for line in read([path]).errors]


def test_the_example_says_everything_and_is_fine() -> None:
    """Every field is in it, so that it documents all of them."""
    reading = read([EXAMPLE])
    assert (reading.errors, reading.warnings) == ([], [])
    full = reading.catalogue.services["checkout"]
    assert all(getattr(full, name) for name in Service.__struct_fields__)
    assert all(getattr(full.business, name) for name in full.business.__struct_fields__)
    assert ("checkout", "payment") in reading.catalogue.calls


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("teir: 1", "3: unknown key 'teir' of 'a': did you mean tier?"),
        ("color: red", "3: unknown key 'color' of 'a': expected one of service, name, aliases"),
        ("tier: 5", "3: tier of 'a' is 5: expected 1, 2, 3 or 4"),
        ("tier: gold", "3: tier of 'a' is 'gold': expected 1, 2, 3 or 4"),
        ("depends_on: b", "3: depends_on of 'a' is 'b': expected a list of services"),
        ("depends_on: [a]", "3: depends_on of 'a' is 'a': expected another service than itself"),
        ("labels: {zone: 3}", "3: labels of 'a' is {'zone': 3}: expected texts by name"),
        ("owner: [x]", "3: owner of 'a' is ['x']: expected a text"),
        ("runbook: wiki/a", "3: runbook of 'a' is 'wiki/a': expected an address"),
        ("links: {board: x}", "3: links of 'a' is 'x': expected an address"),
        ('aliases: [" "]', "3: aliases of 'a' is ' ': expected a name"),
        ("aliases: [other]", "3: aliases of 'a' is 'other': expected no name of another service"),
        ("business: {impact: huge}", "3: business.impact of 'a' is 'huge': expected low, medium or high"),
        ("business: {regulated: [pci]}", "3: business.regulated[0] of 'a' is 'pci': expected a list of gdpr"),
        ("business: {users: -1}", "3: business.users of 'a' is -1: expected a whole number"),
        ("business: {user: 1}", "3: unknown key 'business.user' of 'a': did you mean users?"),
        ("tier: 1\n    tier: 2", "4: 'tier' is given twice"),
    ],
)
def test_what_is_wrong_is_named_with_line_key_and_value(tmp_path: Path, entry: str, said: str) -> None:
    """And with what was expected."""
    found = errors(tmp_path, f"services:\n  - service: a\n    {entry}\n  - service: other\n")
    assert len(found) == 1
    assert found[0].startswith(said)


def test_a_service_that_is_named_twice_is_an_error(tmp_path: Path) -> None:
    """Also in another document; the second one is named."""
    found = errors(tmp_path, "services: [{service: a}]\n---\n- service: b\n- service: a\n")
    assert found == ["4: service of 'a' is 'a': expected a service that is named only once"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- {owner: x}", "1: [0]: expected service: the name in telemetry"),
        ("- 12", "1: [0]: expected a service, got 12"),
        ("services: 5", "1: services: expected a list of services, got 5"),
        ("services: []\nother: 1", "2: unknown key 'other': expected services"),
        ("just text", "1: expected a list of services, got 'just text'"),
        ("a: [", "2: not valid YAML"),
        ("[{caller: a}]", "1: [0] is {'caller': 'a'}: expected caller and callee"),
    ],
)
def test_documents_that_are_no_catalogue(tmp_path: Path, text: str, said: str) -> None:
    """The shape itself is wrong."""
    assert errors(tmp_path, text)[0].startswith(said)


def test_all_errors_are_found_at_once(tmp_path: Path) -> None:
    """For a CI job; a start names the first and how many more there are."""
    text = "services:\n  - {service: a, tier: 9}\n  - {service: b, runbook: x}\n"
    assert len(errors(tmp_path, text)) == 2
    settings = Settings(topology=TopologySettings(catalogue=(str(tmp_path / "services.yaml"),)))
    with pytest.raises(ConfigError, match=r"services\.yaml:2: tier of 'a' is 9.*\(1 more"):
        load_catalogue(settings)


def test_unknown_dependencies_and_cycles_are_warnings(tmp_path: Path) -> None:
    """Both are fine."""
    text = "- {service: a, depends_on: [b, x]}\n- {service: b, depends_on: [a]}\n"
    reading = read([written(tmp_path, text)])
    assert reading.errors == []
    assert reading.warnings == ["no entry for 'x', which a depends on", "a cycle: a, b depend on each other"]
    assert reading.catalogue.calls == (("a", "b"), ("a", "x"), ("b", "a"))


def test_files_folders_and_documents_are_one_catalogue(tmp_path: Path) -> None:
    """Sorted, whatever their suffix; JSON too."""
    written(tmp_path, "service: a\ndepends_on: [c]\n---\nservice: b\n", "teams/one.yml")
    written(tmp_path, '[{"service": "c"}]', "teams/two.json")
    written(tmp_path, "not a catalogue", "teams/readme.txt")
    reading = read([tmp_path / "teams"])
    assert reading.errors == []
    assert list(reading.catalogue.services) == ["a", "b", "c"]


def test_a_file_that_is_not_there_and_a_folder_without_files(tmp_path: Path) -> None:
    """Are said by name."""
    (tmp_path / "empty").mkdir()
    missing, empty = read([tmp_path / "no.yaml", tmp_path / "empty"]).errors
    assert "no.yaml: cannot be read: No such file" in missing
    assert "empty: expected files ending in .yaml" in empty


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    """What services share need not be repeated."""
    text = "- &base {service: a, owner: x, tier: 2}\n- {<<: *base, service: b, tier: 1}\n"
    found = read([written(tmp_path, text)]).catalogue.services["b"]
    assert (found.owner, found.tier) == ("x", 1)


@pytest.mark.parametrize("text", ["&a [*a]", "[" * 3_000])
def test_a_text_nested_in_itself_or_too_deeply_is_refused(text: str) -> None:
    """It ends with a message, not with a crash."""
    with pytest.raises(DocumentError):
        documents(text)


def test_names_and_aliases_find_the_service() -> None:
    """Dependencies may be named by an alias, too."""
    catalogue = Catalogue(
        [Service(service="a", depends_on=("bee",)), Service(service="b", aliases=("bee", "b-svc"))],
        [("b-svc", "a"), ("a", "a")],
    )
    assert catalogue.calls == (("a", "b"), ("b", "a"))
    assert catalogue.get("b-svc") is catalogue.services["b"]
    assert catalogue.canonical("nobody") == "nobody"


BACKSTAGE = """
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  title: Checkout
  labels: {zone: z1}
  annotations: {tocsin.io/tier: "1", tocsin.io/aliases: "chk, checkoutservice", other.org/x: y}
  links: [{url: "https://g/1", title: board}]
spec:
  type: service
  owner: "group:default/pay"
  system: shop
  dependsOn: ["component:default/cart", "resource:db"]
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {name: db}
spec: {type: database, owner: data}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: pay}
"""


def test_backstage_entities_are_read(tmp_path: Path) -> None:
    """Components, resources and interfaces are services; what Backstage has no field for is annotated."""
    reading = read([written(tmp_path, BACKSTAGE, "catalog-info.yaml")])
    assert reading.errors == []
    assert list(reading.catalogue.services) == ["checkout", "db"]
    assert reading.catalogue.services["checkout"] == Service(
        service="checkout", name="Checkout", aliases=("chk", "checkoutservice"), owner="pay", tier=1,
        depends_on=("cart", "db"), application="shop", labels={"zone": "z1"}, links={"board": "https://g/1"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('tocsin.io/tier: "1"', 'tocsin.io/tier: "9"', "Component: Expected `int` <= 4"),
        ("tocsin.io/tier", "tocsin.io/teir", "unknown annotation 'tocsin.io/teir'"),
        ("name: checkout", "nome: checkout", "Component: Expected `str`, got `null`"),
        ("dependsOn: [", "dependsOn: 3\n  x: [", ""),
        ("annotations: {", "annotations: 3\n  x: {", ""),
    ],
)
def test_backstage_entities_that_are_wrong(tmp_path: Path, old: str, new: str, said: str) -> None:
    """What we read of them is checked; other fields are Backstage's affair."""
    found = read([written(tmp_path, BACKSTAGE.replace(old, new))]).errors
    assert bool(found) == bool(said)
    assert not said or said in found[0]


def test_the_former_list_of_calls_is_a_catalogue(tmp_path: Path) -> None:
    """Also under its former key."""
    path = written(tmp_path, '[{"caller": "a", "callee": "b", "spans": 3}]', "topology.json")
    former = Settings(correlate=Correlate(topology=str(path)))
    assert load_catalogue(former).calls == (("a", "b"),)


def test_files_are_found_beside_the_settings(tmp_path: Path) -> None:
    """Relative to the settings file, wherever the command is run."""
    written(tmp_path, "- service: a", "parts/services.yaml")
    settings = load(written(tmp_path, "topology: {catalogue: [parts]}", "tocsin.yaml"))
    assert list(load_catalogue(settings).services) == ["a"]


def test_without_a_catalogue_there_is_an_empty_one() -> None:
    """Nothing declared."""
    assert not load_catalogue(Settings())


def test_cycles_are_found_without_recursion() -> None:
    """Each group once; a chain of ten thousand is none."""
    chain = [(f"n{i}", f"n{i + 1}") for i in range(10_000)]
    assert cycles(chain) == []
    assert cycles([*chain, ("n10000", "n9998"), ("x", "y"), ("y", "x"), ("x", "n0")]) == [
        ("n10000", "n9998", "n9999"),
        ("x", "y"),
    ]


def test_ten_thousand_services_are_read(tmp_path: Path) -> None:
    """How fast is measured by bench/topology.py."""
    lines = "\n".join(
        f"- {{service: s{i}, tier: {i % 4 + 1}, depends_on: [s{(i + 1) % 10_000}]}}" for i in range(10_000)
    )
    reading = read([written(tmp_path, lines)])
    assert reading.errors == []
    assert len(reading.catalogue.services) == len(reading.catalogue.calls) == 10_000
    assert "a cycle: s0, s1, s10, s100, s1000, s1001 and 9994 more" in reading.warnings[0]

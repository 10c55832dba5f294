"""An inventory is read as a whole, or refused with the place and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindling import settings
from kindling.errors import KindlingError

DEFAULTS = """---
cluster_name: kindling
cluster_node_pools:
  - {name: main, role: control-plane, count: 1}
cluster_ports: {serving: 8080}
images_supply: auto
images_mirror: ""
images_file: "{{ playbook_dir }}/versions.yml"
engine_purge: false
"""
SPECS = """---
argument_specs:
  main:
    options:
      cluster_name: {type: str}
      cluster_node_pools:
        type: list
        elements: dict
        options:
          name: {type: str, required: true}
          role: {type: str, required: true, choices: [control-plane, worker]}
          count: {type: int}
          gpus: {type: int}
          labels: {type: dict}
      cluster_ports: {type: dict}
      images_supply: {type: str, choices: [auto, packages]}
      images_mirror: {type: str}
      images_file: {type: path}
      engine_purge: {type: bool}
"""
POOLS = "cluster_node_pools: [{name: main, role: control-plane}, %s]"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one role and one inventory."""
    write(tmp_path / "roles/cluster/defaults/main.yml", DEFAULTS)
    write(tmp_path / "roles/cluster/meta/argument_specs.yml", SPECS)
    write(
        tmp_path / "inventories/local/hosts.yml",
        "local: {hosts: {localhost: {ansible_connection: local}}}",
    )
    write(tmp_path / "inventories/local/group_vars/all.yml", "---\ngpu_mode: simulated\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def refused(tree: Path, text: str, *overrides: str) -> str:
    write(tree / "inventories/local/group_vars/all.yml", text)
    with pytest.raises(KindlingError) as caught:
        settings.load("local", overrides, tree)
    assert caught.value.next_step
    return caught.value.message


def test_the_inventory_wins_over_defaults_and_set_wins_over_the_inventory(tree: Path) -> None:
    write(tree / "inventories/local/group_vars/all.yml", "cluster_name: a\nimages_mirror: m:5000")
    loaded = settings.load("local", ["cluster_name=b", "cluster_ports={serving: 9000}"], tree)
    assert loaded.cluster_name == "b"
    assert loaded["images_mirror"] == loaded.mirror == "m:5000"
    assert loaded.ports == {"serving": 9000}
    assert loaded.supply == "auto"
    assert loaded["images_file"].startswith("{{")


def test_a_folder_of_group_variables_is_read_too(tree: Path) -> None:
    write(tree / "inventories/local/group_vars/all/ports.yml", "cluster_ports: {serving: 1234}")
    assert settings.load("local", (), tree).ports == {"serving": 1234}


@pytest.mark.parametrize("name", ["group_vars/local.yml", "host_vars/localhost.yml"])
def test_a_file_that_only_ansible_would_read_is_refused(tree: Path, name: str) -> None:
    write(tree / "inventories/local" / name, "cluster_name: mine")
    assert f"{name} is not read" in refused(tree, "")


def test_variables_of_a_host_win_over_those_of_its_groups(tree: Path) -> None:
    hosts = "local: {vars: {cluster_name: group}, hosts: {localhost: {cluster_name: host}}}"
    write(tree / "inventories/local/hosts.yml", hosts)
    write(tree / "inventories/local/group_vars/all.yml", "cluster_name: all")
    assert settings.load("local", (), tree).cluster_name == "host"


def test_an_unknown_key_names_the_file_and_the_closest_key(tree: Path) -> None:
    message = refused(tree, "cluster_nme: x")
    assert message.startswith("inventories/local/group_vars/all.yml: unknown key cluster_nme")
    assert message.endswith("cluster_name")


def test_an_unknown_key_after_e_is_refused(tree: Path) -> None:
    assert "-e: unknown key image_supply" in refused(tree, "", "image_supply=packages")


def test_ansibles_own_variables_are_no_ones_business(tree: Path) -> None:
    write(tree / "inventories/local/group_vars/all.yml", "ansible_become: true")
    assert "ansible_become" not in settings.load("local", (), tree)


def test_broken_yaml_names_file_and_line(tree: Path) -> None:
    assert "group_vars/all.yml, line 2" in refused(tree, "cluster_name: x\n\tgpu_mode: none\n")


def test_a_set_without_a_value_is_refused(tree: Path) -> None:
    assert "key=value" in refused(tree, "", "images_supply")


def test_a_missing_inventory_names_those_that_are_there(tree: Path) -> None:
    with pytest.raises(KindlingError) as caught:
        settings.load("loacl", (), tree)
    assert "local" in caught.value.next_step


def test_a_vaulted_value_is_left_to_ansible(tree: Path) -> None:
    write(tree / "inventories/local/group_vars/all.yml", "images_mirror: !vault |\n  abc\n")
    assert "{{" in settings.load("local", (), tree).mirror


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images_supply: floppy", "must be one of: auto, packages"),
        ("gpu_mode: real", "must be one of: simulated, nvidia, none"),
        ("engine_purge: perhaps", "must be true or false"),
        ("cluster_ports: 8080", "must be a mapping"),
        ("cluster_ports: {serving: 70000}", "must be from 1 to 65535"),
        ("cluster_ports: {servin: 80}", "no service servin; the closest known one is serving"),
        ("cluster_node_pools: [{name: main, role: worker}]", "no nodes have role control-plane"),
        (POOLS % "{name: main, role: worker}", "name main is there more than once"),
        (POOLS % "{name: w, role: worker, count: 0}", "needs 1 or more"),
        (POOLS % "{name: w, role: worker, gpus: -1}", "needs 0 or more"),
        (POOLS % "{name: w, role: boss}", "[1].role is 'boss', but must be one of"),
        (POOLS % "{name: w, role: worker, gpu: 1}", "unknown key gpu"),
        (POOLS % "{role: worker}", "[1] lacks name"),
        (POOLS % "{name: w, role: worker, count: many}", "[1].count is 'many'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(tree: Path, text: str, said: str) -> None:
    assert said in refused(tree, text)


def test_a_template_is_not_judged(tree: Path) -> None:
    text = 'images_supply: "{{ x }}"\ncluster_node_pools: "{{ y }}"\ncluster_ports: "{{ z }}"'
    write(tree / "inventories/local/group_vars/all.yml", text)
    loaded = settings.load("local", (), tree)
    assert loaded["cluster_node_pools"] == "{{ y }}"
    assert loaded.ports == {}


def test_the_inventories_of_this_repository_load() -> None:
    for hosts in (settings.paths.REPOSITORY / "inventories").glob("*/hosts.yml"):
        assert settings.load(hosts.parent.name)["cluster_node_pools"]

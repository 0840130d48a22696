"""The acceptance criteria of the six user stories, in their words, one test each."""

import ast
import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import numpy as np
import pytest

from cubie import buffer_registry as registry_module
from cubie._types import Location, Precision
from cubie.buffer_context import BufferChanges
from cubie.buffer_registry import BufferEntry, BufferLayoutError, BufferRegistrationError, Registry, buffer_registry
from cubie.cuda_factory import CUDAFactory
from tests.buffer_toys import Toy, ToyRegistry, banks_for, values_of
from tests.test_cuda_factory import Scale

PACKAGE: Final = Path(__file__).resolve().parent.parent / "cubie"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
F64: Precision = np.float64


@pytest.fixture
def registry() -> ToyRegistry:
    return ToyRegistry()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def identifiers(path: Path) -> Iterator[str]:
    """Yield every name that a module defines, imports, reads or writes."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.alias):
            yield node.asname or node.name


def definitions(path: Path) -> Iterator[str]:
    """Yield the names of a module's functions and classes."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


# US-1: Centralized Buffer Registration


def test_us1_the_registry_singleton_is_accessible_globally() -> None:
    """BufferRegistry singleton accessible globally (like SummaryMetrics)."""
    assert isinstance(buffer_registry, Registry)
    assert registry_module.buffer_registry is buffer_registry
    made = [
        f"{path.name}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"Registry", "BufferRegistry"}
    ]
    assert len(made) == 1, f"the package makes one registry, got {made}"


def test_us1_factory_instances_are_the_keys(registry: ToyRegistry) -> None:
    """Factory instances used as keys (not factory IDs)."""
    one, other = Toy(), Toy()
    registry.register("work", one, 3, "shared", precision=F64)
    assert one in registry
    assert other not in registry
    called_id = [
        path.name
        for path in PACKAGE.glob("buffer_*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id"
    ]
    assert called_id == []


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_us1_no_merge_or_aggregate_exists(path: Path) -> None:
    """No merge functions or aggregate child buffer methods."""
    found = [name for name in definitions(path) if "merge" in name.lower() or "aggregate" in name.lower()]
    assert found == []


def test_us1_updates_from_unregistered_factories_are_silently_ignored(registry: ToyRegistry) -> None:
    """Registry silently ignores update requests from factories with no registered contexts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.update_buffer("work", Toy(), size=3)
    assert len(registry) == 0


# US-2: Buffer Aliasing Support


def test_us2_a_buffer_can_alias_another_by_name(registry: ToyRegistry) -> None:
    """Buffers can specify an alias to another buffer by name."""
    toy = Toy()
    registry.register("scratch", toy, 9, "shared", precision=F64)
    registry.register("cache", toy, 4, "shared", aliases="scratch", precision=F64)
    shared, persistent = banks_for(registry, toy)
    cache = values_of(registry.get_allocator("cache", toy)(shared, persistent))
    cache[:] = 7.0
    assert values_of(registry.get_allocator("scratch", toy)(shared, persistent)).tolist() == [7.0] * 4 + [0.0] * 5


def test_us2_aliasing_respects_the_parents_location(registry: ToyRegistry) -> None:
    """Aliasing respects the parent buffer's location (shared or local)."""
    toy = Toy()
    registry.register("work", toy, 9, "shared", precision=F64)
    registry.register("cache", toy, 4, "local", aliases="work", precision=F64)
    assert registry.layout(toy).shared_slices["cache"] == slice(0, 4)
    registry.update_buffer("work", toy, location="local")
    assert registry.layout(toy).local_sizes == {"work": 9, "cache": 4}


def test_us2_a_tally_tracks_how_much_is_aliased(registry: ToyRegistry) -> None:
    """Alias tally tracks how much of each array is already aliased."""
    toy = Toy()
    registry.register("solver_scratch", toy, 100, "shared", precision=F64)
    registry.register("stage_rhs", toy, 7, "shared", aliases="solver_scratch", precision=F64)
    registry.register("increment_cache", toy, 7, "shared", aliases="solver_scratch", precision=F64)
    assert registry.layout(toy).shared_slices == {
        "solver_scratch": slice(0, 100),
        "stage_rhs": slice(0, 7),
        "increment_cache": slice(7, 14),
    }


def test_us2_an_alias_of_shared_is_a_slice_if_size_permits(registry: ToyRegistry) -> None:
    """When aliasing shared: slice from shared if size permits."""
    toy = Toy()
    registry.register("scratch", toy, 10, "shared", precision=F64)
    registry.register("fits", toy, 8, "shared", aliases="scratch", precision=F64)
    registry.register("does_not", toy, 3, "shared", aliases="scratch", precision=F64)
    assert registry.layout(toy).shared_slices["fits"] == slice(0, 8)
    assert registry.layout(toy).shared_slices["does_not"] == slice(10, 13)


def test_us2_an_alias_of_local_goes_by_its_persistent_flag(registry: ToyRegistry) -> None:
    """When aliasing local: place aliasing array in local or persistent_local based on persistent flag."""
    toy = Toy()
    registry.register("work", toy, 10, "local", precision=F64)
    registry.register("plain", toy, 8, "local", aliases="work", precision=F64)
    registry.register("kept", toy, 3, "local", persistent=True, aliases="work", precision=F64)
    assert registry.layout(toy).local_sizes == {"work": 10, "plain": 8}
    assert registry.layout(toy).persistent_local_slices == {"kept": slice(0, 3)}


# US-3: Simplified Location Model


def test_us3_shared_and_local_are_the_only_locations() -> None:
    """Only "shared" and "local" as location values."""
    assert get_args(Location) == ("shared", "local")
    with pytest.raises(BufferRegistrationError, match="must be 'shared' or 'local'"):
        BufferEntry(name="a", size=1, location="persistent_local", precision=F64)  # type: ignore[arg-type]  # a pool


def test_us3_the_persistent_flag_chooses_local_or_persistent_local(registry: ToyRegistry) -> None:
    """`persistent: bool = False` flag controls local vs persistent_local."""
    toy = Toy()
    registry.register("a", toy, 3, "local", precision=F64)
    assert (registry.local_buffer_size(toy), registry.persistent_local_buffer_size(toy)) == (3, 0)
    registry.update_buffer("a", toy, persistent=True)
    assert (registry.local_buffer_size(toy), registry.persistent_local_buffer_size(toy)) == (0, 3)
    assert inspect.signature(registry.register).parameters["persistent"].default is False


def test_us3_persistent_local_is_no_location_but_follows_from_local() -> None:
    """persistent_local is a property of local buffers, not a separate location."""
    assert BufferEntry(name="a", size=1, location="local", persistent=True, precision=F64).pool == "persistent_local"
    assert BufferEntry(name="a", size=1, location="shared", persistent=True, precision=F64).pool == "shared"
    assert "persistent_local" not in get_args(Location)


def test_us3_persistent_local_that_the_parent_does_not_support_is_an_error(registry: ToyRegistry) -> None:
    """Error if persistent local requested but parent doesn't support it."""
    parent, child = Toy(), Toy()
    registry.register("history", child, 3, "local", persistent=True, precision=F64)
    parent.adopt(registry, "child", child, persistent=False)
    assert registry.persistent_local_buffer_size(child) == 3, "registration itself trusts the parent"
    with pytest.raises(BufferLayoutError, match="must do without persistent storage"):
        registry.layout(parent)


# US-4: Lazy Cached Build Pattern


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("buffer_*.py")), ids=lambda path: str(path.name))
def test_us4_the_registry_tracks_no_versions(path: Path) -> None:
    """No version tracking in the registry."""
    words = ("version", "revision", "generation", "epoch", "stale", "dirty")
    found = [name for name in identifiers(path) if any(word in name.lower() for word in words)]
    assert found == []


def test_us4_a_change_sets_the_slot_to_none(registry: ToyRegistry) -> None:
    """Slice/layout objects set to None when any buffer is changed."""
    toy = Toy()
    registry.register("a", toy, 3, "shared", precision=F64)
    changes: tuple[BufferChanges, ...] = ({"size": 4}, {"location": "local"}, {"persistent": True})
    for change in changes:
        registry.layout(toy)
        assert registry._contexts[toy].layout is not None
        registry.update_buffer("a", toy, **change)
        assert registry._contexts[toy].layout is None


def test_us4_a_fetch_regenerates_what_is_none(registry: ToyRegistry) -> None:
    """On fetch of slices, regenerate if None."""
    toy = Toy()
    registry.register("a", toy, 3, "shared", precision=F64)
    first = registry.layout(toy)
    assert registry.layout(toy) is first
    registry.register("b", toy, 4, "shared", precision=F64)
    assert registry.layout(toy).shared_slices == {"a": slice(0, 3), "b": slice(3, 7)}


def test_us4_factories_build_lazily_by_the_same_rule() -> None:
    """Consistent with CUDAFactory's lazy build pattern."""
    scale = Scale(2.0, 3)
    slots = [scale._build]
    first = scale.device_function
    slots.append(scale._build)
    scale.update(n=4)
    slots.append(scale._build)
    assert [slot is None for slot in slots] == [True, False, True]
    assert scale.device_function is not first


# US-5: CUDA-Compatible Allocator Functions


def allocator_source() -> ast.FunctionDef:
    """Return the CUDA target's `allocate_buffer`."""
    return next(
        node
        for node in ast.walk(tree(PACKAGE / "targets" / "cuda.py"))
        if isinstance(node, ast.FunctionDef) and node.name == "allocate_buffer"
    )


def test_us5_allocators_follow_the_pattern() -> None:
    """Allocator functions follow the exact pattern specified (see Architecture)."""
    pattern = """
if _shared:
    array = shared_parent[shared_slice]
elif _persistent:
    array = persistent_parent[persistent_local_slice]
else:
    array = cuda.local.array(local_size, precision)
"""
    function = allocator_source()
    assert [argument.arg for argument in function.args.args] == ["shared_parent", "persistent_parent"]
    assert ast.dump(function.body[0]) == ast.dump(ast.parse(pattern).body[0])
    assert ast.unparse(function.body[-1]) == "return array"


def test_us5_branches_are_on_compile_time_constants() -> None:
    """Compile-time branching based on location flags."""
    function = allocator_source()
    own = {argument.arg for argument in function.args.args} | {
        node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    tested = [node.test for node in ast.walk(function) if isinstance(node, ast.If)]
    assert len(tested) >= 2
    for test in tested:
        assert isinstance(test, ast.Name)
        assert test.id not in own, f"{test.id} is no constant of the closure"


def test_us5_shared_persistent_local_and_local_allocations_are_supported(registry: ToyRegistry) -> None:
    """Support for shared, persistent_local, and local allocations."""
    toy = Toy()
    registry.register("s", toy, 2, "shared", precision=F64)
    registry.register("p", toy, 3, "local", persistent=True, precision=F64)
    registry.register("w", toy, 4, "local", precision=F64)
    shared, persistent = banks_for(registry, toy)
    s, p, w = (values_of(registry.get_allocator(name, toy)(shared, persistent)) for name in "spw")
    assert np.shares_memory(s, shared.values)
    assert np.shares_memory(p, persistent.values)
    assert not np.shares_memory(w, shared.values)
    assert not np.shares_memory(w, persistent.values)
    assert (s.size, p.size, w.size) == (2, 3, 4)


def test_us5_an_allocator_is_an_inline_device_function() -> None:
    """Returns inline CUDA device function."""
    (decorator,) = allocator_source().decorator_list
    assert isinstance(decorator, ast.Call)
    assert ast.unparse(decorator.func) == "cuda.jit"
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in decorator.keywords}
    assert options["device"] == "True"
    assert options["inline"] in {"True", "'always'"}
    assert options[None] == "compile_kwargs"


# US-6: Complete Migration


def test_us6_every_factory_takes_its_memory_from_the_registry() -> None:
    """All CUDAFactories use new BufferRegistry: outside the targets nobody allocates a local or shared array."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in MODULES
        if path.parent.name != "targets"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"array", "local_array"}
        and ast.unparse(node.value).split(".")[-1] in {"local", "shared", "target"}
    ]
    assert found == []
    assert "declare" in inspect.getsource(CUDAFactory.__init__)


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_us6_no_buffer_settings_exist(path: Path) -> None:
    """Old BufferSettings classes removed from source."""
    found = [name for name in identifiers(path) if "buffersettings" in name.lower().replace("_", "")]
    assert found == []
    assert "buffersettings" not in path.stem.lower().replace("_", "")


def test_us6_tests_know_no_old_names() -> None:
    """Tests updated or removed as appropriate."""
    here = Path(__file__).resolve()
    for path in sorted(here.parent.rglob("*.py")):
        if path != here:
            assert not any("buffersettings" in name.lower() for name in identifiers(path)), f"{path}"


def test_us6_nothing_is_deprecated() -> None:
    """No deprecation warnings - complete replacement."""
    found = [path.name for path in MODULES for name in identifiers(path) if "deprecat" in name.lower()]
    assert found == []

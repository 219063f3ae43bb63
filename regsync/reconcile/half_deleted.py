"""Tags that a kill left on a throw-away manifest: put back, unless this run deletes them."""

from collections.abc import Mapping, Sequence

from regsync.content.errors import ContentNotFoundError
from regsync.content.throw_away import ThrowAway
from regsync.errors import RegsyncError
from regsync.oci.reference import Tag
from regsync.plan.pruning import Scope
from regsync.reconcile.engine import Run
from regsync.reconcile.lease import LeaseLostError
from regsync.reconcile.ledger import Deletion
from regsync.spec.model import Location


async def put_back_half_deleted(
    run: Run, begun: Mapping[Location, Mapping[Tag, Deletion]], waves: Sequence[Sequence[Scope]]
) -> None:
    """Heal what deletions of killed runs have left; what fails is told, and tried again by the next run."""
    going = {(one.target, one.tag) for wave in waves for scope in wave for one in scope.pending}
    for location, deletions in begun.items():
        for tag, deletion in deletions.items():
            try:
                if (location, tag) not in going:
                    await _put_back(run, location, deletion)
                run.engine.ledger.not_deleted(deletion)
            except RegsyncError as error:
                run.warn(f"{location}:{tag} is half deleted by a run that was killed: {error}")
                if isinstance(error, LeaseLostError):
                    run.end(error)


async def _put_back(run: Run, location: Location, deletion: Deletion) -> None:
    store = run.engine.places.connect(location)
    try:
        actual = (await store.resolve(deletion.tag)).digest
        if actual != ThrowAway.for_tag(deletion.tag, deletion.digest).desc.digest:
            return
        desc = await store.resolve(deletion.digest)
    except ContentNotFoundError:
        return  # gone meanwhile; where its image is, the tag is not worth having
    run.engine.check_lease()
    await store.tag(desc, deletion.tag)

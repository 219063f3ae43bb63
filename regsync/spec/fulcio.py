"""Extensions of a Fulcio certificate by the names that policies use.

Source: sigstore/fulcio, docs/oid-info.md. The names are those of sigstore-go and cosign.
"""

EXTENSIONS = {  # name to the last number of its OID, below 1.3.6.1.4.1.57264.1
    "githubWorkflowTrigger": 2,
    "githubWorkflowSHA": 3,
    "githubWorkflowName": 4,
    "githubWorkflowRepository": 5,
    "githubWorkflowRef": 6,
    "buildSignerURI": 9,
    "buildSignerDigest": 10,
    "runnerEnvironment": 11,
    "sourceRepositoryURI": 12,
    "sourceRepositoryDigest": 13,
    "sourceRepositoryRef": 14,
    "sourceRepositoryIdentifier": 15,
    "sourceRepositoryOwnerURI": 16,
    "sourceRepositoryOwnerIdentifier": 17,
    "buildConfigURI": 18,
    "buildConfigDigest": 19,
    "buildTrigger": 20,
    "runInvocationURI": 21,
    "sourceRepositoryVisibilityAtSigning": 22,
    "deploymentEnvironment": 23,
}

# Those that say who signed. The others (a branch, a trigger, a kind of runner) anybody can have.
IDENTIFYING = frozenset(
    {
        "githubWorkflowRepository",
        "buildSignerURI",
        "sourceRepositoryURI",
        "sourceRepositoryIdentifier",
        "sourceRepositoryOwnerURI",
        "sourceRepositoryOwnerIdentifier",
        "buildConfigURI",
    }
)

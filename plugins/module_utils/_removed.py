# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
# Not for use outside of this collection.
"""What a minor's components no longer take that those of the minor before took.

Written by tests/tools/removed_table.py; asked of v1.35.4, v1.36.4, v1.37.2.
"""

from __future__ import annotations

#: By minor the feature gates that its components no longer know.
GATES: dict[str, tuple[str, ...]] = {
    "1.36": (
        "CSIMigrationPortworx",
        "HonorPVReclaimPolicy",
        "InPlacePodVerticalScalingAllocatedStatus",
        "InTreePluginPortworxUnregister",
        "MemoryManager",
        "ServiceTrafficDistribution",
        "StructuredAuthorizationConfiguration",
        "TopologyAwareHints",
        "WatchFromStorageWithoutResourceVersion",
    ),
    "1.37": (
        "APIServerTracing",
        "AnonymousAuthConfigurableEndpoints",
        "AnyVolumeDataSource",
        "AuthorizeNodeWithSelectors",
        "AuthorizeWithSelectors",
        "BtreeWatchCache",
        "ConsistentListFromCache",
        "GangScheduling",
        "JobBackoffLimitPerIndex",
        "JobPodReplacementPolicy",
        "JobSuccessPolicy",
        "LogarithmicScaleDown",
        "OrderedNamespaceDeletion",
        "PodLifecycleSleepAction",
        "PodLifecycleSleepActionAllowZero",
        "PreventStaticPodAPIReferences",
        "RelaxedDNSSearchValidation",
        "ResilientWatchCacheInitialization",
        "RetryGenerateName",
        "SchedulerQueueingHints",
        "SidecarContainers",
        "StreamingCollectionEncodingToJSON",
        "StreamingCollectionEncodingToProtobuf",
        "StructuredAuthenticationConfiguration",
        "WorkloadAwarePreemption",
    ),
}
#: By minor the gates that it locked: any other value ends the component at its start.
LOCKED: dict[str, dict[str, bool]] = {
    "1.36": {
        "CSIServiceAccountTokenSecrets": True,
        "DRAAdminAccess": True,
        "DeclarativeValidation": True,
        "DisableNodeKubeProxyVersion": True,
        "ExternalServiceAccountTokenSigner": True,
        "GitRepoVolumeDriver": False,
        "ImageVolume": True,
        "KubeletFineGrainedAuthz": True,
        "KubeletPSI": True,
        "KubeletPodResourcesDynamicResources": True,
        "KubeletPodResourcesGet": True,
        "MutableCSINodeAllocatableCount": True,
        "NodeLogQuery": True,
        "ProcMountType": True,
        "SELinuxChangePolicy": True,
        "SELinuxMountReadWriteOncePod": True,
        "SeparateCacheWatchRPC": False,
        "TopologyManagerPolicyOptions": True,
        "UserNamespacesSupport": True,
        "VolumeAttributesClass": True,
    },
    "1.37": {
        "DRAExtendedResource": True,
        "DRAPrioritizedList": True,
        "DRAResourceClaimDeviceStatus": True,
        "DeclarativeValidationTakeover": False,
        "DisableCPUQuotaWithExclusiveCPUs": True,
        "HPAConfigurableTolerance": True,
        "HostnameOverride": True,
        "InPlacePodVerticalScalingInitContainers": True,
        "NodeDeclaredFeatures": True,
        "PLEGOnDemandRelist": True,
        "PodReadyToStartContainersCondition": True,
        "RelaxedServiceNameValidation": True,
        "WatchCacheInitializationPostStartHook": True,
    },
}
#: By minor and component the flags that it removed.
FLAGS: dict[str, dict[str, tuple[str, ...]]] = {
    "1.36": {},
    "1.37": {
        "kube-controller-manager": ("concurrent-service-syncs",),
        "kubelet": (
            "application-metrics-count-limit",
            "boot-id-file",
            "container-hints",
            "containerd",
            "containerd-namespace",
            "enable-load-reader",
            "event-storage-age-limit",
            "event-storage-event-limit",
            "global-housekeeping-interval",
            "log-cadvisor-usage",
            "machine-id-file",
            "storage-driver-buffer-duration",
            "storage-driver-db",
            "storage-driver-host",
            "storage-driver-password",
            "storage-driver-secure",
            "storage-driver-table",
            "storage-driver-user",
        ),
        "kube-proxy": ("boot-id-file", "machine-id-file"),
    },
}
#: By minor kubeadm's own feature gates that it removed, by its source.
KUBEADM_GATES: dict[str, tuple[str, ...]] = {
    "1.36": ("ControlPlaneKubeletLocalMode",),
    "1.37": ("NodeLocalCRISocket", "PublicKeysECDSA"),
}
#: By minor the images that its kubeadm asks for beside the components' own.
IMAGES: dict[str, dict[str, str]] = {
    "1.35": {"pause": "3.10.1", "etcd": "3.6.6-0"},
    "1.36": {"pause": "3.10.2", "etcd": "3.6.8-0"},
    "1.37": {"pause": "3.10.2", "etcd": "3.7.0-0"},
}

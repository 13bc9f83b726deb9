"""In: an interface's UUID and the number of an operation. Out: their names, as Zeek and Microsoft's open specifications have them.
Never here: calls (dce_rpc.py).

Names are those of [MS-SCMR], [MS-SAMR], [MS-LSAD], [MS-LSAT], [MS-SRVS], [MS-WKST], [MS-RRP], [MS-NRPC], [MS-DRSR], [MS-TSCH],
[MS-DCOM], [MS-WMI], [MS-RPRN], [MS-PAR], [MS-RSP], [MS-EFSR], [MS-EVEN], [MS-DFSNM], [MS-FSRVP], [MS-DNSP] and C706."""

from __future__ import annotations

from functools import cache
from typing import Final

_INTERFACES: Final[dict[str, tuple[str, str]]] = {
    "367abb81-9844-35f1-ad32-98f038001003": ("svcctl", """
        CloseServiceHandle ControlService DeleteService LockServiceDatabase QueryServiceObjectSecurity
        SetServiceObjectSecurity QueryServiceStatus SetServiceStatus UnlockServiceDatabase NotifyBootConfigStatus
        ScSetServiceBitsW ChangeServiceConfigW CreateServiceW EnumDependentServicesW EnumServicesStatusW OpenSCManagerW
        OpenServiceW QueryServiceConfigW QueryServiceLockStatusW StartServiceW GetServiceDisplayNameW GetServiceKeyNameW
        ScSetServiceBitsA ChangeServiceConfigA CreateServiceA EnumDependentServicesA EnumServicesStatusA OpenSCManagerA
        OpenServiceA QueryServiceConfigA QueryServiceLockStatusA StartServiceA GetServiceDisplayNameA GetServiceKeyNameA
        ScGetCurrentGroupStateW EnumServiceGroupW ChangeServiceConfig2A ChangeServiceConfig2W QueryServiceConfig2A
        QueryServiceConfig2W QueryServiceStatusEx EnumServicesStatusExA EnumServicesStatusExW ScSendTSMessage"""),
    "12345778-1234-abcd-ef00-0123456789ac": ("samr", """
        SamrConnect SamrCloseHandle SamrSetSecurityObject SamrQuerySecurityObject SamrShutdownSamServer
        SamrLookupDomainInSamServer SamrEnumerateDomainsInSamServer SamrOpenDomain SamrQueryInformationDomain
        SamrSetInformationDomain SamrCreateGroupInDomain SamrEnumerateGroupsInDomain SamrCreateUserInDomain
        SamrEnumerateUsersInDomain SamrCreateAliasInDomain SamrEnumerateAliasesInDomain SamrGetAliasMembership
        SamrLookupNamesInDomain SamrLookupIdsInDomain SamrOpenGroup SamrQueryInformationGroup SamrSetInformationGroup
        SamrAddMemberToGroup SamrDeleteGroup SamrRemoveMemberFromGroup SamrGetMembersInGroup
        SamrSetMemberAttributesOfGroup SamrOpenAlias SamrQueryInformationAlias SamrSetInformationAlias SamrDeleteAlias
        SamrAddMemberToAlias SamrRemoveMemberFromAlias SamrGetMembersInAlias SamrOpenUser SamrDeleteUser
        SamrQueryInformationUser SamrSetInformationUser SamrChangePasswordUser SamrGetGroupsForUser
        SamrQueryDisplayInformation SamrGetDisplayEnumerationIndex SamrTestPrivateFunctionsDomain
        SamrTestPrivateFunctionsUser SamrGetUserDomainPasswordInformation SamrRemoveMemberFromForeignDomain
        SamrQueryInformationDomain2 SamrQueryInformationUser2 SamrQueryDisplayInformation2
        SamrGetDisplayEnumerationIndex2 SamrCreateUser2InDomain SamrQueryDisplayInformation3
        SamrAddMultipleMembersToAlias SamrRemoveMultipleMembersFromAlias SamrOemChangePasswordUser2
        SamrUnicodeChangePasswordUser2 SamrGetDomainPasswordInformation SamrConnect2 SamrSetInformationUser2
        SamrSetBootKeyInformation SamrGetBootKeyInformation SamrConnect3 SamrConnect4 SamrUnicodeChangePasswordUser3
        SamrConnect5 SamrRidToSid SamrSetDSRMPassword SamrValidatePassword"""),
    "12345778-1234-abcd-ef00-0123456789ab": ("lsarpc", """
        LsarClose LsarDelete LsarEnumeratePrivileges LsarQuerySecurityObject LsarSetSecurityObject LsarChangePassword
        LsarOpenPolicy LsarQueryInformationPolicy LsarSetInformationPolicy LsarClearAuditLog LsarCreateAccount
        LsarEnumerateAccounts LsarCreateTrustedDomain LsarEnumerateTrustedDomains LsarLookupNames LsarLookupSids
        LsarCreateSecret LsarOpenAccount LsarEnumeratePrivilegesAccount LsarAddPrivilegesToAccount
        LsarRemovePrivilegesFromAccount LsarGetQuotasForAccount LsarSetQuotasForAccount LsarGetSystemAccessAccount
        LsarSetSystemAccessAccount LsarOpenTrustedDomain LsarQueryInfoTrustedDomain LsarSetInformationTrustedDomain
        LsarOpenSecret LsarSetSecret LsarQuerySecret LsarLookupPrivilegeValue LsarLookupPrivilegeName
        LsarLookupPrivilegeDisplayName LsarDeleteObject LsarEnumerateAccountsWithUserRight LsarEnumerateAccountRights
        LsarAddAccountRights LsarRemoveAccountRights LsarQueryTrustedDomainInfo LsarSetTrustedDomainInfo
        LsarDeleteTrustedDomain LsarStorePrivateData LsarRetrievePrivateData LsarOpenPolicy2 LsarGetUserName
        LsarQueryInformationPolicy2 LsarSetInformationPolicy2 LsarQueryTrustedDomainInfoByName
        LsarSetTrustedDomainInfoByName LsarEnumerateTrustedDomainsEx LsarCreateTrustedDomainEx LsarCloseTrustedDomainEx
        LsarQueryDomainInformationPolicy LsarSetDomainInformationPolicy LsarOpenTrustedDomainByName LsarTestCall
        LsarLookupSids2 LsarLookupNames2 LsarCreateTrustedDomainEx2"""),
    "4b324fc8-1670-01d3-1278-5a47bf6ee188": ("srvsvc", """
        NetrCharDevEnum NetrCharDevGetInfo NetrCharDevControl NetrCharDevQEnum NetrCharDevQGetInfo NetrCharDevQSetInfo
        NetrCharDevQPurge NetrCharDevQPurgeSelf NetrConnectionEnum NetrFileEnum NetrFileGetInfo NetrFileClose
        NetrSessionEnum NetrSessionDel NetrShareAdd NetrShareEnum NetrShareGetInfo NetrShareSetInfo NetrShareDel
        NetrShareDelSticky NetrShareCheck NetrServerGetInfo NetrServerSetInfo NetrServerDiskEnum NetrServerStatisticsGet
        NetrServerTransportAdd NetrServerTransportEnum NetrServerTransportDel NetrRemoteTOD NetrServerSetServiceBits
        NetprPathType NetprPathCanonicalize NetprPathCompare NetprNameValidate NetprNameCanonicalize NetprNameCompare
        NetrShareEnumSticky NetrShareDelStart NetrShareDelCommit NetrGetFileSecurity NetrSetFileSecurity
        NetrServerTransportAddEx NetrServerSetServiceBitsEx NetrNETRDFSGETVERSION NetrNETRDFSCREATELOCALPARTITION
        NetrNETRDFSDELETELOCALPARTITION NetrNETRDFSSETLOCALVOLUMESTATE NetrNETRDFSSETSERVERINFO
        NetrNETRDFSCREATEEXITPOINT NetrNETRDFSDELETEEXITPOINT NetrNETRDFSMODIFYPREFIX NetrNETRDFSFIXLOCALVOLUME
        NetrNETRDFSMANAGERREPORTSITEINFO NetrNETRSERVERTRANSPORTDELEX"""),
    "6bffd098-a112-3610-9833-46c3f87e345a": ("wkssvc", """
        NetrWkstaGetInfo NetrWkstaSetInfo NetrWkstaUserEnum NetrWkstaUserGetInfo NetrWkstaUserSetInfo
        NetrWkstaTransportEnum NetrWkstaTransportAdd NetrWkstaTransportDel NetrUseAdd NetrUseGetInfo NetrUseDel
        NetrUseEnum NetrMessageBufferSend NetrWorkstationStatisticsGet NetrLogonDomainNameAdd NetrLogonDomainNameDel
        NetrJoinDomain NetrUnjoinDomain NetrRenameMachineInDomain NetrValidateName NetrGetJoinInformation
        NetrGetJoinableOus NetrJoinDomain2 NetrUnjoinDomain2 NetrRenameMachineInDomain2 NetrValidateName2
        NetrGetJoinableOus2 NetrAddAlternateComputerName NetrRemoveAlternateComputerName NetrSetPrimaryComputername
        NetrEnumerateComputerNames"""),
    "338cd001-2244-31f1-aaaa-900038001003": ("winreg", """
        OpenClassesRoot OpenCurrentUser OpenLocalMachine OpenPerformanceData OpenUsers BaseRegCloseKey BaseRegCreateKey
        BaseRegDeleteKey BaseRegDeleteValue BaseRegEnumKey BaseRegEnumValue BaseRegFlushKey BaseRegGetKeySecurity
        BaseRegLoadKey BaseRegNotifyChangeKeyValue BaseRegOpenKey BaseRegQueryInfoKey BaseRegQueryValue
        BaseRegReplaceKey BaseRegRestoreKey BaseRegSaveKey BaseRegSetKeySecurity BaseRegSetValue BaseRegUnLoadKey
        BaseRegInitiateSystemShutdown BaseRegAbortSystemShutdown BaseRegGetVersion OpenCurrentConfig OpenHKDD
        BaseRegQueryMultipleValues BaseRegInitiateSystemShutdownEx BaseRegSaveKeyEx OpenPerformanceText
        OpenPerformanceNlsText BaseRegQueryMultipleValues2 BaseRegDeleteKeyEx"""),
    "12345678-1234-abcd-ef00-01234567cffb": ("netlogon", """
        NetrLogonUasLogon NetrLogonUasLogoff NetrLogonSamLogon NetrLogonSamLogoff NetrServerReqChallenge
        NetrServerAuthenticate NetrServerPasswordSet NetrDatabaseDeltas NetrDatabaseSync NetrAccountDeltas
        NetrAccountSync NetrGetDCName NetrLogonControl NetrGetAnyDCName NetrLogonControl2 NetrServerAuthenticate2
        NetrDatabaseSync2 NetrDatabaseRedo NetrLogonControl2Ex NetrEnumerateTrustedDomains DsrGetDcName
        NetrLogonGetCapabilities NetrLogonSetServiceBits NetrLogonGetTrustRid NetrLogonComputeServerDigest
        NetrLogonComputeClientDigest NetrServerAuthenticate3 DsrGetDcNameEx DsrGetSiteName NetrLogonGetDomainInfo
        NetrServerPasswordSet2 NetrServerPasswordGet NetrLogonSendToSam DsrAddressToSiteNamesW DsrGetDcNameEx2
        NetrLogonGetTimeServiceParentDomain NetrEnumerateTrustedDomainsEx DsrAddressToSiteNamesExW DsrGetDcSiteCoverageW
        NetrLogonSamLogonEx DsrEnumerateDomainTrusts DsrDeregisterDnsHostRecords NetrServerTrustPasswordsGet
        DsrGetForestTrustInformation NetrGetForestTrustInformation NetrLogonSamLogonWithFlags NetrServerGetTrustInfo"""),
    "e3514235-4b06-11d1-ab04-00c04fc2dcd2": ("drsuapi", """
        DRSBind DRSUnbind DRSReplicaSync DRSGetNCChanges DRSUpdateRefs DRSReplicaAdd DRSReplicaDel DRSReplicaModify
        DRSVerifyNames DRSGetMemberships DRSInterDomainMove DRSGetNT4ChangeLog DRSCrackNames DRSWriteSPN
        DRSRemoveDsServer DRSRemoveDsDomain DRSDomainControllerInfo DRSAddEntry DRSExecuteKCC DRSGetReplInfo
        DRSAddSidHistory DRSGetMemberships2 DRSReplicaVerifyObjects DRSGetObjectExistence DRSQuerySitesByCost
        DRSInitDemotion DRSReplicaDemotion DRSFinishDemotion DRSAddCloneDC"""),
    "1ff70682-0a51-30e8-076d-740be8cee98b": ("atsvc", "NetrJobAdd NetrJobDel NetrJobEnum NetrJobGetInfo"),
    "378e52b0-c0a9-11cf-822d-00aa0051e40f": ("sasec", """
        SASetAccountInformation SASetNSAccountInformation SAGetNSAccountInformation SAGetAccountInformation"""),
    "86d35949-83c9-4044-b424-db363231fd0c": ("ITaskSchedulerService", """
        SchRpcHighestVersion SchRpcRegisterTask SchRpcRetrieveTask SchRpcCreateFolder SchRpcSetSecurity
        SchRpcGetSecurity SchRpcEnumFolders SchRpcEnumTasks SchRpcEnumInstances SchRpcGetInstanceInfo SchRpcStopInstance
        SchRpcStop SchRpcRun SchRpcDelete SchRpcRename SchRpcScheduledRuntimes SchRpcGetLastRunInfo SchRpcGetTaskInfo
        SchRpcGetNumberOfMissedRuns SchRpcEnableTask"""),
    "e1af8308-5d1f-11c9-91a4-08002b14a0fa": ("epmapper", """
        ept_insert ept_delete ept_lookup ept_map ept_lookup_handle_free ept_inq_object ept_mgmt_delete"""),
    "99fcfec4-5260-101b-bbcb-00aa0021347a": ("IObjectExporter", """
        ResolveOxid SimplePing ComplexPing ServerAlive ResolveOxid2 ServerAlive2"""),
    "000001a0-0000-0000-c000-000000000046": ("IRemoteSCMActivator", """
        QueryInterface AddRef Release RemoteGetClassObject RemoteCreateInstance"""),
    "4d9f4ab8-7d1c-11cf-861e-0020af6e7c57": ("IActivation", "RemoteActivation"),
    "00000131-0000-0000-c000-000000000046": ("IRemUnknown", """
        QueryInterface AddRef Release RemQueryInterface RemAddRef RemRelease"""),
    "00000143-0000-0000-c000-000000000046": ("IRemUnknown2", """
        QueryInterface AddRef Release RemQueryInterface RemAddRef RemRelease RemQueryInterface2"""),
    "9556dc99-828c-11cf-a37e-00aa003240c7": ("IWbemServices", """
        - - - OpenNamespace CancelAsyncCall QueryObjectSink GetObject GetObjectAsync PutClass PutClassAsync DeleteClass
        DeleteClassAsync CreateClassEnum CreateClassEnumAsync PutInstance PutInstanceAsync DeleteInstance
        DeleteInstanceAsync CreateInstanceEnum CreateInstanceEnumAsync ExecQuery ExecQueryAsync ExecNotificationQuery
        ExecNotificationQueryAsync ExecMethod ExecMethodAsync"""),
    "f309ad18-d86a-11d0-a075-00c04fb68820": ("IWbemLevel1Login", """
        - - - EstablishPosition RequestChallenge WBEMLogin NTLMLogin"""),
    "d4781cd6-e5d3-44df-ad94-930efe48a887": ("IWbemLoginClientID", "- - - SetClientInfo"),
    "027947e1-d731-11ce-a357-000000000001": ("IEnumWbemClassObject", "- - - Reset Next NextAsync Clone Skip"),
    "12345678-1234-abcd-ef00-0123456789ab": ("spoolss", """
        RpcEnumPrinters RpcOpenPrinter RpcSetJob RpcGetJob RpcEnumJobs RpcAddPrinter RpcDeletePrinter RpcSetPrinter
        RpcGetPrinter RpcAddPrinterDriver RpcEnumPrinterDrivers RpcGetPrinterDriver RpcGetPrinterDriverDirectory
        RpcDeletePrinterDriver RpcAddPrintProcessor RpcEnumPrintProcessors RpcGetPrintProcessorDirectory
        RpcStartDocPrinter RpcStartPagePrinter RpcWritePrinter RpcEndPagePrinter RpcAbortPrinter RpcReadPrinter
        RpcEndDocPrinter RpcAddJob RpcScheduleJob RpcGetPrinterData RpcSetPrinterData RpcWaitForPrinterChange
        RpcClosePrinter RpcAddForm RpcDeleteForm RpcGetForm RpcSetForm RpcEnumForms RpcEnumPorts RpcEnumMonitors
        RpcAddPort RpcConfigurePort RpcDeletePort RpcCreatePrinterIC RpcPlayGdiScriptOnPrinterIC RpcDeletePrinterIC
        RpcAddPrinterConnection RpcDeletePrinterConnection RpcPrinterMessageBox RpcAddMonitor RpcDeleteMonitor
        RpcDeletePrintProcessor RpcAddPrintProvidor RpcDeletePrintProvidor RpcEnumPrintProcessorDatatypes
        RpcResetPrinter RpcGetPrinterDriver2 RpcClientFindFirstPrinterChangeNotification
        RpcFindNextPrinterChangeNotification RpcFindClosePrinterChangeNotification
        RpcRouterFindFirstPrinterChangeNotificationOld RpcReplyOpenPrinter RpcRouterReplyPrinter RpcReplyClosePrinter
        RpcAddPortEx RpcRemoteFindFirstPrinterChangeNotification RpcSpoolerInit RpcResetPrinterEx
        RpcRemoteFindFirstPrinterChangeNotificationEx RpcRouterReplyPrinterEx RpcRouterRefreshPrinterChangeNotification
        RpcSetAllocFailCount RpcOpenPrinterEx RpcAddPrinterEx RpcSetPort RpcEnumPrinterData RpcDeletePrinterData
        RpcClusterSplOpen RpcClusterSplClose RpcClusterSplIsAlive RpcSetPrinterDataEx RpcGetPrinterDataEx
        RpcEnumPrinterDataEx RpcEnumPrinterKey RpcDeletePrinterDataEx RpcDeletePrinterKey RpcSeekPrinter
        RpcDeletePrinterDriverEx RpcAddPerMachineConnection RpcDeletePerMachineConnection RpcEnumPerMachineConnections
        RpcXcvData RpcAddPrinterDriverEx"""),
    "894de0c0-0d55-11d3-a322-00c04fa321a1": ("InitShutdown", """
        BaseInitiateShutdown BaseAbortShutdown BaseInitiateShutdownEx"""),
    "d95afe70-a6d5-4259-822e-2c84da1ddb0d": ("WindowsShutdown", "WsdrInitiateShutdown WsdrAbortShutdown"),
    "3919286a-b10c-11d0-9ba8-00c04fd92ef5": ("dssetup", """
        DsRoleGetPrimaryDomainInformation DsRoleDnsNameToFlatName DsRoleDcAsDc DsRoleDcAsReplica DsRoleDemoteDc
        DsRoleGetDcOperationProgress DsRoleGetDcOperationResults DsRoleCancel DsRoleServerSaveStateForUpgrade
        DsRoleUpgradeDownlevelServer DsRoleAbortDownlevelServerUpgrade"""),
    "c681d488-d850-11d0-8c52-00c04fd90f7e": ("efsrpc", """
        EfsRpcOpenFileRaw EfsRpcReadFileRaw EfsRpcWriteFileRaw EfsRpcCloseRaw EfsRpcEncryptFileSrv EfsRpcDecryptFileSrv
        EfsRpcQueryUsersOnFile EfsRpcQueryRecoveryAgents EfsRpcRemoveUsersFromFile EfsRpcAddUsersToFile
        EfsRpcSetFileEncryptionKey EfsRpcNotSupported EfsRpcFileKeyInfo EfsRpcDuplicateEncryptionInfoFile -
        EfsRpcAddUsersToFileEx EfsRpcFileKeyInfoEx - EfsRpcGetEncryptedFileMetadata EfsRpcSetEncryptedFileMetadata
        EfsRpcFlushEfsCache"""),
    "df1941c5-fe89-4e79-bf10-463657acf44d": ("efsrpc", """
        EfsRpcOpenFileRaw EfsRpcReadFileRaw EfsRpcWriteFileRaw EfsRpcCloseRaw EfsRpcEncryptFileSrv EfsRpcDecryptFileSrv
        EfsRpcQueryUsersOnFile EfsRpcQueryRecoveryAgents EfsRpcRemoveUsersFromFile EfsRpcAddUsersToFile
        EfsRpcSetFileEncryptionKey EfsRpcNotSupported EfsRpcFileKeyInfo EfsRpcDuplicateEncryptionInfoFile -
        EfsRpcAddUsersToFileEx EfsRpcFileKeyInfoEx - EfsRpcGetEncryptedFileMetadata EfsRpcSetEncryptedFileMetadata
        EfsRpcFlushEfsCache"""),
    "82273fdc-e32a-18c3-3f78-827929dc23ea": ("eventlog", """
        ElfrClearEventLogW ElfrBackupEventLogW ElfrCloseEventLog ElfrDeregisterEventSource ElfrGetNumRecords
        ElfrGetOldestRecord ElfrChangeNotify ElfrOpenEventLogW ElfrRegisterEventSourceW ElfrOpenBackupEventLogW
        ElfrReadEventLogW ElfrReportEventW ElfrClearEventLogA ElfrBackupEventLogA ElfrOpenEventLogA
        ElfrRegisterEventSourceA ElfrOpenBackupEventLogA ElfrReadEventLogA ElfrReportEventA ElfrRegisterClusterSvc
        ElfrDeregisterClusterSvc ElfrWriteClusterEvents ElfrGetLogInformation ElfrFlushEventLog"""),
    "4fc742e0-4a10-11cf-8273-00aa004ae673": ("netdfs", """
        NetrDfsGetManagerVersion NetrDfsAdd NetrDfsRemove NetrDfsSetInfo NetrDfsGetInfo NetrDfsEnum NetrDfsRename
        NetrDfsMove NetrDfsManagerGetConfigInfo NetrDfsManagerSendSiteInfo NetrDfsAddFtRoot NetrDfsRemoveFtRoot
        NetrDfsAddStdRoot NetrDfsRemoveStdRoot NetrDfsManagerInitialize NetrDfsAddStdRootForced NetrDfsGetDcAddress
        NetrDfsSetDcAddress NetrDfsFlushFtTable NetrDfsAdd2 NetrDfsRemove2 NetrDfsEnumEx NetrDfsSetInfo2"""),
    "a8e0653c-2744-4389-a61d-7373df8b2292": ("FileServerVssAgent", """
        GetSupportedVersion SetContext StartShadowCopySet AddToShadowCopySet CommitShadowCopySet ExposeShadowCopySet
        RecoveryCompleteShadowCopySet AbortShadowCopySet IsPathSupported IsPathShadowCopied GetShareMapping
        DeleteShareMapping PrepareShadowCopySet"""),
    "50abc2a4-574d-40b3-9d66-ee4fd5fba076": ("dnsserver", """
        DnssrvOperation DnssrvQuery DnssrvComplexOperation DnssrvEnumRecords DnssrvUpdateRecord DnssrvOperation2
        DnssrvQuery2 DnssrvComplexOperation2 DnssrvEnumRecords2 DnssrvUpdateRecord2"""),
    "91ae6020-9e3c-11cf-8d7c-00aa00c091be": ("ICertPassage", "CertServerRequest"),
    "3dde7c30-165d-11d1-ab8f-00805f14db40": ("BackupKey", "BackuprKey"),
    "afa8bd80-7d8a-11c9-bef4-08002b102989": ("mgmt", """
        inq_if_ids inq_stats is_server_listening stop_server_listening inq_princ_name"""),
    "5ca4a760-ebb1-11cf-8611-00a0245420ed": ("winstation_rpc", ""),
    "76f03f96-cdfd-44fc-a22c-64950a001209": ("IRemoteWinspool", """
        RpcAsyncOpenPrinter RpcAsyncAddPrinter RpcAsyncSetJob RpcAsyncGetJob RpcAsyncEnumJobs RpcAsyncAddJob
        RpcAsyncScheduleJob RpcAsyncDeletePrinter RpcAsyncSetPrinter RpcAsyncGetPrinter RpcAsyncStartDocPrinter
        RpcAsyncStartPagePrinter RpcAsyncWritePrinter RpcAsyncEndPagePrinter RpcAsyncEndDocPrinter RpcAsyncAbortPrinter
        RpcAsyncGetPrinterData RpcAsyncGetPrinterDataEx RpcAsyncSetPrinterData RpcAsyncSetPrinterDataEx
        RpcAsyncClosePrinter RpcAsyncAddForm RpcAsyncDeleteForm RpcAsyncGetForm RpcAsyncSetForm RpcAsyncEnumForms
        RpcAsyncGetPrinterDriver RpcAsyncEnumPrinterData RpcAsyncEnumPrinterDataEx RpcAsyncEnumPrinterKey
        RpcAsyncDeletePrinterData RpcAsyncDeletePrinterDataEx RpcAsyncDeletePrinterKey RpcAsyncXcvData
        RpcAsyncSendRecvBidiData RpcAsyncCreatePrinterIC RpcAsyncPlayGdiScriptOnPrinterIC RpcAsyncDeletePrinterIC
        RpcAsyncEnumPrinters RpcAsyncAddPrinterDriver RpcAsyncEnumPrinterDrivers RpcAsyncGetPrinterDriverDirectory
        RpcAsyncDeletePrinterDriver RpcAsyncDeletePrinterDriverEx RpcAsyncAddPrintProcessor RpcAsyncEnumPrintProcessors
        RpcAsyncGetPrintProcessorDirectory RpcAsyncEnumPorts RpcAsyncEnumMonitors RpcAsyncAddPort RpcAsyncSetPort
        RpcAsyncAddMonitor RpcAsyncDeleteMonitor RpcAsyncDeletePrintProcessor RpcAsyncEnumPrintProcessorDatatypes
        RpcAsyncAddPerMachineConnection RpcAsyncDeletePerMachineConnection RpcAsyncEnumPerMachineConnections
        RpcAsyncSyncRegisterForRemoteNotifications RpcAsyncSyncUnRegisterForRemoteNotifications
        RpcAsyncSyncRefreshRemoteNotifications RpcAsyncGetRemoteNotifications RpcAsyncInstallPrinterDriverFromPackage
        RpcAsyncUploadPrinterDriverPackage RpcAsyncGetCorePrinterDrivers RpcAsyncCorePrinterDriverInstalled
        RpcAsyncGetPrinterDriverPackagePath RpcAsyncDeletePrinterDriverPackage RpcAsyncReadPrinter RpcAsyncResetPrinter
        RpcAsyncGetJobNamedPropertyValue RpcAsyncSetJobNamedProperty RpcAsyncDeleteJobNamedProperty
        RpcAsyncEnumJobNamedProperties RpcAsyncLogJobInfoForBranchOffice"""),
    "f5cc5a18-4264-101a-8c59-08002b2f8426": ("nspi", """
        NspiBind NspiUnbind NspiUpdateStat NspiQueryRows NspiSeekEntries NspiGetMatches NspiResortRestriction
        NspiDNToEph NspiGetPropList NspiGetProps NspiCompareDNTs NspiModProps NspiGetHierarchyInfo NspiGetTemplateInfo
        NspiModLInkAtt NspiDeleteEntries NspiQueryColumns NspiGetNamesFromIDs NspiGetIDsFromNames NspiResolveNames
        NspiResolveNamesW"""),
    "1544f5e0-613c-11d1-93df-00c04fd7bd09": ("exchange_rfr", "RfrGetNewDSA RfrGetFQDNFromLegacyDN"),
    "a4f1db00-ca47-1067-b31f-00dd010662da": ("exchange_mapi", """
        EcDoConnect EcDoDisconnect EcDoRpc EcGetMoreRpc EcRRegisterPushNotification EcRUnregisterPushNotification
        EcDummyRpc EcRGetDCName EcRNetGetDCName EcDoRpcExt"""),
    "5261574a-4572-206e-b268-6b199213b4e4": ("AsyncEMSMDB", "EcDoAsyncWaitEx"),
    "f5cc59b4-4264-101a-8c59-08002b2f8426": ("FrsRpc", """
        FrsRpcSendCommPkt FrsRpcVerifyPromotionParent FrsRpcStartPromotionParent FrsNOP"""),
    "897e2e5f-93f3-4376-9c9c-fd2277495c27": ("FrsTransport", """
        CheckConnectivity EstablishConnection EstablishSession RequestUpdates RequestVersionVector AsyncPoll
        FRSTRANS_REQUEST_RECORDS FRSTRANS_UPDATE_CANCEL FRSTRANS_RAW_GET_FILE_DATA FRSTRANS_RDC_GET_SIGNATURES
        FRSTRANS_RDC_PUSH_SOURCE_NEEDS FRSTRANS_RDC_GET_FILE_DATA FRSTRANS_RDC_CLOSE InitializeFileTransferAsync
        FRSTRANS_OPNUM_0E_NOT_USED_ON_THE_WIRE FRSTRANS_RAW_GET_FILE_DATA_ASYNC FRSTRANS_RDC_GET_FILE_DATA_ASYNC"""),
    "8d9f4e40-a03d-11ce-8f69-08003e30051b": ("pnp", ""),
    "17fdd703-1827-4e34-79d4-24a55c53bb37": ("msgsvc", ""),
    "5a7b91f8-ff00-11d0-a9b2-00c04fb6e6fc": ("msgsvcsend", "NetrSendMessage"),
    "6bffd098-a112-3610-9833-012892020162": ("browser", """
        BrowserrServerEnum BrowserrDebugCall BrowserrQueryOtherDomains BrowserrResetNetlogonState BrowserrDebugTrace
        BrowserrQueryStatistics BrowserResetStatistics NetrBrowserStatisticsClear NetrBrowserStatisticsGet
        BrowserrSetNetlogonState BrowserrQueryEmulatedDomains BrowserrServerEnumEx"""),
    "45f52c28-7f9f-101a-b52b-08002b2efabe": ("winspipe", ""),
    "906b0ce0-c70b-1067-b317-00dd010662da": ("IXnRemote", ""),
    "0a74ef1c-41a4-4e06-83ae-dc74fb1cdd53": ("idletask", ""),
    "8d0ffe72-d252-11d0-bf8f-00c04fd9126b": ("IKeySvc", ""),
    "3c4728c5-f0ab-448b-bda1-6ce01eb0a6d5": ("RpcSrvDHCPC", ""),
    "12b81e99-f207-4a4c-85d3-77b42f76fd14": ("ISeclogon", "SeclCreateProcessWithLogonW"),
    "51c82175-844e-4750-b0d8-ec255555bc06": ("KMS", ""),
    "c8cb7687-e6d3-11d2-a958-00c04f682e16": ("DAV RPC SERVICE", ""),
    "2f5f6520-ca46-1067-b319-00dd010662da": ("tapsrv", "ClientAttach ClientRequest ClientDetach"),
    "6bffd098-a112-3610-9833-46c3f874532d": ("dhcpsrv", ""),
    "5b821720-f63b-11d0-aad2-00c04fc324db": ("dhcpsrv2", ""),
    "338cd001-2244-31f1-aaaa-900038001004": ("winreg", ""),
    "dea00001-6c97-11d1-8271-00a02442df7d": ("pn_io_device", "Connect Release Read Write Control ReadImplicit"),
    "dea00002-6c97-11d1-8271-00a02442df7d": ("pn_io_controller", "Connect Release Read Write Control ReadImplicit"),
}
"""UUID: name, names of its operations from number 0, "-" where there is none."""

PIPES: Final[dict[str, str]] = {
    "winreg": "338cd001-2244-31f1-aaaa-900038001003",
    "spoolss": "12345678-1234-abcd-ef00-0123456789ab",
    "srvsvc": "4b324fc8-1670-01d3-1278-5a47bf6ee188",
    "svcctl": "367abb81-9844-35f1-ad32-98f038001003",
    "samr": "12345778-1234-abcd-ef00-0123456789ac",
    "wkssvc": "6bffd098-a112-3610-9833-46c3f87e345a",
    "atsvc": "1ff70682-0a51-30e8-076d-740be8cee98b",
}
"""What is most often spoken over a pipe: holds where its bind is not in the evidence."""


def interface_name(uuid: str) -> str | None:
    """The name of an interface; None where it has none here."""
    known = _INTERFACES.get(uuid)
    return known[0] if known else None


@cache
def _operations(uuid: str) -> list[str]:
    known = _INTERFACES.get(uuid)
    return known[1].split() if known else []


def operation_name(uuid: str, opnum: int) -> str | None:
    """The name of an operation; None where it has none here."""
    names = _operations(uuid)
    return names[opnum] if opnum < len(names) and names[opnum] != "-" else None

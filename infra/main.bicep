// The app, its identity and all it needs, and its rights on the workspaces. The event subscriptions
// come after the code: see subscription.bicep. Checked offline by `make infra`.
targetScope = 'subscription'

// A workspace to hear of. id: its ARM id. systemTopicName: its Event Grid system topic where there
// is one already; a workspace can have one only. endpoints: with grantOn 'endpoint', their names.
type watchedWorkspace = {
  id: string
  systemTopicName: string?
  endpoints: array?
}

@description('Name of this installation, part of every name; azd sets it.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Region of the app; best the one of the workspaces.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Resource group of the app, created when missing; empty for rg-rollouts-<environmentName>.')
param resourceGroupName string = ''

@description('Workspaces whose models are rolled out; each may be in any resource group of this tenant.')
@minLength(1)
param workspaces watchedWorkspace[]

@description('Where the rights to change things are given: on whole workspaces, or on the endpoints that workspaces names. Endpoints must exist for that, and none can be created by the app.')
@allowed([
  'workspace'
  'endpoint'
])
param grantOn string = 'workspace'

@description('Auth modes of the endpoints, for probing: key, aml_token, aad_token.')
@allowed([
  'key'
  'aml_token'
  'aad_token'
])
param endpointAuthModes array = [
  'key'
]

@description('Whether templates hold local code or inline environments, which are registered in the workspace.')
param templatesBringAssets bool = true

@description('Whether the app may read why an operation failed; the right lies on the subscription of each workspace. Without it a bad candidate ends as errored and not as failed.')
param readFailureReasons bool = true

@description('Durable engine: azure_storage needs nothing else, scheduler is the Durable Task Scheduler.')
@allowed([
  'azure_storage'
  'scheduler'
])
param engine string = 'azure_storage'

@description('How events come: function pushes to the app, queue puts them into a Storage queue that the app reads, for networks that nothing may call into.')
@allowed([
  'function'
  'queue'
])
param delivery string = 'function'

@description('Instances of the durable group that are always up; Microsoft asks for 1 with azure_storage.')
@minValue(0)
param alwaysReadyDurable int = 1

@description('Instances of the event trigger that are always up; 1 spares the delay of the first event after idle.')
@minValue(0)
param alwaysReadyEvents int = 0

@description('Memory of an instance in MB.')
@allowed([
  2048
  4096
])
param instanceMemory int = 2048

@description('Instances at most, of each scale group.')
@minValue(40)
@maxValue(1000)
param maximumInstances int = 40

@description('Subnet for the app, delegated to Microsoft.App/environments and with the service endpoint Microsoft.Storage; empty for none. With one, the storage account is closed to all but it.')
param subnetId string = ''

@description('Application (client) id of the app registration that people sign in to; empty for none, and then nobody is let in.')
param authClientId string = ''

@description('Lets the platform check sign-ins too, before the app does.')
param platformSignIn bool = false

@description('Whether the app may trust the principal header; only with platformSignIn, and only after you have seen an unauthenticated call refused.')
param trustPlatformIdentity bool = false

@description('Gives the right to read metrics of the workspaces, for metric gates.')
param grantMetrics bool = false

@description('Ids of Log Analytics workspaces that logs gates may query.')
param logWorkspaceIds array = []

@description('Id of the Event Grid topic for announcements; empty for none. It is the channel named topic.')
param announceTopicId string = ''

@description('Other channels that policies may announce to, by name, as in ROLLOUT_CHANNELS; no secret may stand here.')
param channels object = {}

@description('Mail address that alerts go to; empty for alerts without a receiver.')
param alertEmail string = ''

@description('App settings over the usual ones, such as ROLLOUT_SWEEP_LOOK_BACK.')
param appSettings object = {}

var token = toLower(uniqueString(subscription().id, environmentName, location))
var groupName = empty(resourceGroupName) ? 'rg-rollouts-${environmentName}' : resourceGroupName
var deadLetterContainer = 'dead-letter'
var eventQueue = 'model-registered'
// union leaves out what comes twice
var subscriptionIds = union(map(workspaces, one => split(one.id, '/')[2]), [])
// The compiler refuses a scope that is a condition, so the condition stands here (BCP420).
var announceId = split(announceTopicId, '/')
var announceScope = empty(announceTopicId) ? [subscription().subscriptionId, groupName] : [announceId[2], announceId[4]]
var topicChannel = empty(announceTopicId) ? {} : {
  topic: {
    kind: 'topic'
    endpoint: announceRights!.outputs.endpoint
  }
}
var tags = {
  'azd-env-name': environmentName
}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: groupName
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-rollouts-${token}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    principalId: identity.outputs.principalId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: 'strollouts${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    deadLetterContainer: deadLetterContainer
    eventQueue: eventQueue
    subnetId: subnetId
  }
}

module scheduler 'modules/scheduler.bicep' = if (engine == 'scheduler') {
  name: 'scheduler'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    principalId: identity.outputs.principalId
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    identityName: identity.outputs.name
    storageName: storage.outputs.name
    packageContainer: storage.outputs.packageContainer
    insightsName: monitoring.outputs.insightsName
    schedulerEndpoint: engine == 'scheduler' ? scheduler!.outputs.endpoint : ''
    taskHub: engine == 'scheduler' ? scheduler!.outputs.taskHub : ''
    eventQueue: delivery == 'queue' ? eventQueue : ''
    workspaceIds: map(workspaces, one => one.id)
    alwaysReadyDurable: alwaysReadyDurable
    alwaysReadyEvents: delivery == 'queue' ? 0 : alwaysReadyEvents
    instanceMemory: instanceMemory
    maximumInstances: maximumInstances
    subnetId: subnetId
    authClientId: authClientId
    platformSignIn: platformSignIn
    trustPlatformIdentity: trustPlatformIdentity
    channels: union(topicChannel, channels)
    appSettings: appSettings
  }
}

module rights 'modules/workspace-rights.bicep' = [for (one, index) in workspaces: {
  name: 'rights-${token}-${index}'
  scope: resourceGroup(split(one.id, '/')[2], split(one.id, '/')[4])
  params: {
    workspaceName: last(split(one.id, '/'))
    installation: '${environmentName}-${token}'
    principalId: identity.outputs.principalId
    endpoints: grantOn == 'endpoint' ? (one.?endpoints ?? []) : []
    grantOn: grantOn
    endpointAuthModes: endpointAuthModes
    templatesBringAssets: templatesBringAssets
    grantMetrics: grantMetrics
  }
}]

module failureReasons 'modules/failure-reasons.bicep' = [for id in (readFailureReasons ? subscriptionIds : []): {
  name: 'reasons-${token}'
  scope: subscription(id)
  params: {
    installation: '${environmentName}-${token}'
    principalId: identity.outputs.principalId
  }
}]

// The region of a workspace is known only once it was read, so a module reads it for the next one.
module regions 'modules/region.bicep' = [for (one, index) in workspaces: {
  name: 'region-${token}-${index}'
  scope: resourceGroup(split(one.id, '/')[2], split(one.id, '/')[4])
  params: {
    workspaceName: last(split(one.id, '/'))
  }
}]

module topics 'modules/topic.bicep' = [for (one, index) in workspaces: {
  name: 'topic-${token}-${index}'
  scope: resourceGroup(split(one.id, '/')[2], split(one.id, '/')[4])
  params: {
    existingName: one.?systemTopicName ?? ''
    workspaceName: last(split(one.id, '/'))
    location: regions[index].outputs.location
    tags: tags
  }
}]

module deliveries 'modules/delivery-rights.bicep' = [for (one, index) in workspaces: {
  name: 'delivery-${index}'
  scope: group
  params: {
    storageName: storage.outputs.name
    deadLetterContainer: deadLetterContainer
    eventQueue: delivery == 'queue' ? eventQueue : ''
    principalId: topics[index].outputs.principalId
  }
}]

module logRights 'modules/log-rights.bicep' = [for (id, index) in logWorkspaceIds: {
  name: 'logs-${token}-${index}'
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  params: {
    logWorkspaceName: last(split(id, '/'))
    principalId: identity.outputs.principalId
  }
}]

module announceRights 'modules/announce-rights.bicep' = if (!empty(announceTopicId)) {
  name: 'announce-${token}'
  scope: resourceGroup(announceScope[0], announceScope[1])
  params: {
    topicName: last(split(announceTopicId, '/'))
    principalId: identity.outputs.principalId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    logWorkspaceId: monitoring.outputs.logWorkspaceId
    topicIds: [for (one, index) in workspaces: topics[index].outputs.id]
    email: alertEmail
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  scope: group
  params: {
    location: location
    tags: tags
    logWorkspaceId: monitoring.outputs.logWorkspaceId
  }
}

@description('Region, for the deployment of the subscriptions.')
output AZURE_LOCATION string = location

@description('Resource group of the app.')
output AZURE_RESOURCE_GROUP string = groupName

@description('Name of the function app.')
output FUNCTION_APP_NAME string = app.outputs.name

@description('Where the HTTP API is.')
output FUNCTION_APP_URL string = app.outputs.url

@description('Id of the function app, the destination of events.')
output FUNCTION_APP_ID string = app.outputs.id

@description('Id of the storage account that holds dead letters and the event queue.')
output STORAGE_ACCOUNT_ID string = storage.outputs.id

@description('Container of the dead letters.')
output DEAD_LETTER_CONTAINER string = deadLetterContainer

@description('Queue of the events, where delivery is queue.')
output EVENT_QUEUE string = eventQueue

@description('How events come.')
output EVENT_DELIVERY string = delivery

@description('Ids of the system topics, in the order of the workspaces.')
output SYSTEM_TOPIC_IDS array = [for (one, index) in workspaces: topics[index].outputs.id]

@description('Principal (object) id of the identity of the app.')
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId

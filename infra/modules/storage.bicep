// One storage account: the host's, the durable store's, the package, dead letters and the event
// queue. Entra tokens only; no key and no anonymous reader is accepted.

@description('Name of the account.')
@minLength(3)
@maxLength(24)
param name string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Principal of the app.')
param principalId string

@description('Container of the dead letters.')
param deadLetterContainer string

@description('Queue of the events.')
param eventQueue string

@description('The only subnet that may come in; empty for no firewall.')
param subnetId string

@description('Redundancy.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
])
param redundancy string = 'Standard_ZRS'

var roles = loadJsonContent('../roles.json').built_in
var openAcls = {
  defaultAction: 'Allow'
  bypass: 'AzureServices'
}
// Event Grid comes in as a trusted service, and that only with the topic's system-assigned identity.
var closedAcls = {
  defaultAction: 'Deny'
  bypass: 'AzureServices'
  virtualNetworkRules: [
    {
      id: subnetId
      action: 'Allow'
    }
  ]
}

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    networkAcls: empty(subnetId) ? openAcls : closedAcls
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: 'package'
  properties: {
    publicAccess: 'None'
  }
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: blobs
  name: deadLetterContainer
  properties: {
    publicAccess: 'None'
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource events 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = {
  parent: queues
  name: eventQueue
}

var granted = [
  roles.blob_owner.id
  roles.queue_contributor.id
  roles.table_contributor.id
]

resource grants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for id in granted: {
  name: guid(account.id, principalId, id)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', id)
  }
}]

@description('Name of the account.')
output name string = account.name

@description('Id of the account.')
output id string = account.id

@description('Container of the deployment package.')
output packageContainer string = package.name

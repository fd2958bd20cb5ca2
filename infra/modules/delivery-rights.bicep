// What the identity of a system topic may do on our storage: write dead letters, and events into
// the queue where delivery goes by queue.

@description('Name of the storage account, in this resource group.')
param storageName string

@description('Container of the dead letters.')
param deadLetterContainer string

@description('Queue of the events; empty where Event Grid calls the app.')
param eventQueue string

@description('Object id of the identity of the topic.')
param principalId string

var roles = loadJsonContent('../roles.json').built_in

resource storage 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: storageName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' existing = {
  parent: storage
  name: 'default'
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = {
  parent: blobs
  name: deadLetterContainer
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' existing = {
  parent: storage
  name: 'default'
}

resource events 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' existing = {
  parent: queues
  name: empty(eventQueue) ? 'none' : eventQueue
}

resource deadLetterWriter 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deadLetters.id, principalId, roles.dead_letter_writer.id)
  scope: deadLetters
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.dead_letter_writer.id)
  }
}

resource queueSender 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(eventQueue)) {
  name: guid(events.id, principalId, roles.queue_sender.id)
  scope: events
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.queue_sender.id)
  }
}

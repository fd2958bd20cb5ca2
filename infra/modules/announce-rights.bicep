// The right to publish announcements to one Event Grid topic.

@description('Name of the topic, in this resource group.')
param topicName string

@description('Principal of the app.')
param principalId string

var roles = loadJsonContent('../roles.json').built_in

resource topic 'Microsoft.EventGrid/topics@2025-02-15' existing = {
  name: topicName
}

resource sender 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(topic.id, principalId, roles.event_sender.id)
  scope: topic
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.event_sender.id)
  }
}

@description('Where events are published.')
output endpoint string = topic.properties.endpoint

// The Durable Task Scheduler as the durable engine, with one task hub. It knows identities only.

@description('Short unique part of names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Principal of the app.')
param principalId string

@description('Addresses that may come in, in CIDR; an empty list would shut everybody out.')
@minLength(1)
param allowedAddresses array = [
  '0.0.0.0/0' // Flex Consumption has no fixed addresses; who may do what is decided by identity alone
]

var roles = loadJsonContent('../roles.json').built_in

resource scheduler 'Microsoft.DurableTask/schedulers@2025-11-01' = {
  name: 'dts-rollouts-${token}'
  location: location
  tags: tags
  properties: {
    ipAllowlist: allowedAddresses
    sku: {
      name: 'Consumption'
    }
  }
}

resource hub 'Microsoft.DurableTask/schedulers/taskHubs@2025-11-01' = {
  parent: scheduler
  name: 'rollouts'
}

resource contributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hub.id, principalId, roles.task_contributor.id)
  scope: hub
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.task_contributor.id)
  }
}

@description('Address of the scheduler.')
output endpoint string = scheduler.properties.endpoint

@description('Name of the task hub.')
output taskHub string = hub.name

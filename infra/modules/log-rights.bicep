// The right to query one Log Analytics workspace, for logs gates.

@description('Name of the Log Analytics workspace, in this resource group.')
param logWorkspaceName string

@description('Principal of the app.')
param principalId string

var roles = loadJsonContent('../roles.json').built_in

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: logWorkspaceName
}

resource logsReader 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(logs.id, principalId, roles.logs_reader.id)
  scope: logs
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.logs_reader.id)
  }
}

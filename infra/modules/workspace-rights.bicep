// The app's rights on one workspace. The actions are those of roles.json, which a test holds against
// what the app was seen to ask for.

@description('Name of the workspace, in this resource group.')
param workspaceName string

@description('Name of the installation: role names must be unique in the tenant.')
param installation string

@description('Principal of the app.')
param principalId string

@description('Where the rights to change things are given.')
@allowed([
  'workspace'
  'endpoint'
])
param grantOn string

@description('With grantOn endpoint: the endpoints.')
param endpoints array

@description('Auth modes of the endpoints, for probing.')
param endpointAuthModes array

@description('Whether templates hold local code or inline environments.')
param templatesBringAssets bool

@description('Gives the right to read metrics, for metric gates.')
param grantMetrics bool

var roles = loadJsonContent('../roles.json')
var keyActions = contains(endpointAuthModes, 'key') ? objectKeys(roles.custom.key.actions) : []
var amlTokenActions = contains(endpointAuthModes, 'aml_token') ? objectKeys(roles.custom.aml_token.actions) : []
var aadTokenActions = contains(endpointAuthModes, 'aad_token') ? objectKeys(roles.custom.aad_token.actions) : []
var readerActions = objectKeys(roles.custom.reader.actions)
var builderActions = templatesBringAssets ? objectKeys(roles.custom.builder.actions) : []
var operatorActions = concat(objectKeys(roles.custom.operator.actions), keyActions, amlTokenActions, aadTokenActions)

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-10-01' existing = {
  name: workspaceName
}

resource onlineEndpoints 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints@2024-10-01' existing = [for name in endpoints: {
  parent: workspace
  name: name
}]

resource reader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(workspace.id, installation, 'reader')
  properties: {
    roleName: 'Rollout reader ${installation} ${workspaceName}'
    description: roles.custom.reader.description
    type: 'CustomRole'
    permissions: [
      {
        actions: concat(readerActions, builderActions)
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource operator 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(workspace.id, installation, 'operator')
  properties: {
    roleName: 'Rollout operator ${installation} ${workspaceName}'
    description: roles.custom.operator.description
    type: 'CustomRole'
    permissions: [
      {
        actions: operatorActions
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource readerOnWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(workspace.id, principalId, reader.id)
  scope: workspace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: reader.id
  }
}

resource operatorOnWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (grantOn == 'workspace') {
  name: guid(workspace.id, principalId, operator.id)
  scope: workspace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: operator.id
  }
}

resource operatorOnEndpoints 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (name, index) in endpoints: {
  name: guid(workspace.id, name, principalId, operator.id)
  scope: onlineEndpoints[index]
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: operator.id
  }
}]

resource metricsOnWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (grantMetrics) {
  name: guid(workspace.id, principalId, roles.built_in.monitoring_reader.id)
  scope: workspace
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.built_in.monitoring_reader.id)
  }
}
